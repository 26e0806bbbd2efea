//! The actions that a policy allows or refuses.

use super::check::Check;

/// An action, named as in Glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    GetImages,
    GetImage,
    DownloadImage,
    AddImage,
    UploadImage,
    PublicizeImage,
    CopyFrom,
    SetImageLocation,
    ModifyImage,
    DeleteImage,
    GetMembers,
    AddMember,
    ModifyMember,
    DeleteMember,
    ManageImageCache,
}

impl Action {
    /// Every action, in the order of the discriminants.
    pub const ALL: [Action; 15] = [
        Action::GetImages,
        Action::GetImage,
        Action::DownloadImage,
        Action::AddImage,
        Action::UploadImage,
        Action::PublicizeImage,
        Action::CopyFrom,
        Action::SetImageLocation,
        Action::ModifyImage,
        Action::DeleteImage,
        Action::GetMembers,
        Action::AddMember,
        Action::ModifyMember,
        Action::DeleteMember,
        Action::ManageImageCache,
    ];

    /// Returns the name of its rule in policy files.
    pub fn name(self) -> &'static str {
        match self {
            Action::GetImages => "get_images",
            Action::GetImage => "get_image",
            Action::DownloadImage => "download_image",
            Action::AddImage => "add_image",
            Action::UploadImage => "upload_image",
            Action::PublicizeImage => "publicize_image",
            Action::CopyFrom => "copy_from",
            Action::SetImageLocation => "set_image_location",
            Action::ModifyImage => "modify_image",
            Action::DeleteImage => "delete_image",
            Action::GetMembers => "get_members",
            Action::AddMember => "add_member",
            Action::ModifyMember => "modify_member",
            Action::DeleteMember => "delete_member",
            Action::ManageImageCache => "manage_image_cache",
        }
    }

    /// Returns the rule that applies if no file has one. It is Glance's, except that administrators
    /// are determined by `admin_role` and `context_is_admin` and not by the role `admin`.
    pub(super) fn default_rule(self) -> Check {
        match self {
            Action::PublicizeImage | Action::ManageImageCache => Check::is_admin(),
            _ => Check::Always,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_actions_by_discriminant() {
        for (number, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(action as usize, number, "{action:?}");
        }
    }
}
